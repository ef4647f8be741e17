#!/bin/bash
python3 - <<'PYTHON'
import csv, json
totals = {}
for row in csv.DictReader(open("orders.csv")):
    totals[row["customer"]] = totals.get(row["customer"], 0) + int(row["count"]) * int(row["price"])
wanted = {name: total for name, total in totals.items() if total}
try:
    found = json.load(open("totals.json"))
except (OSError, ValueError):
    found = None
with open("/logs/verifier/reward.json", "w") as file:
    json.dump({"reward": float(found == wanted)}, file)
PYTHON
