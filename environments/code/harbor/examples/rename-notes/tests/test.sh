#!/bin/bash
score=1
for pair in "shopping-list.txt:bread" "ideas.txt:shorter meetings" "to-do-today.txt:call Ada"; do
  tail -n 1 "${pair%%:*}" 2>/dev/null | grep -qx "${pair#*:}" || score=0
done
[ "$(ls -1 *.txt | wc -l)" = 3 ] || score=0
echo "$score" > /logs/verifier/reward.txt
