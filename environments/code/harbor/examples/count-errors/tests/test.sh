#!/bin/bash
want=$(awk '$3 == "ERROR"' server.log | wc -l)
got=$(tr -d '[:space:]' < answer.txt 2>/dev/null)
if [ "$got" = "$want" ]; then echo 1 > /logs/verifier/reward.txt; else echo 0 > /logs/verifier/reward.txt; fi
