#!/bin/bash
for file in *.txt; do
  title=$(head -n 1 "$file" | tr 'A-Z ' 'a-z-')
  mv -- "$file" "$title.txt"
done
