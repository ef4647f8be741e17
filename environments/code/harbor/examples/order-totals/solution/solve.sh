#!/bin/bash
python3 -c '
import collections, csv, json
totals = collections.Counter()
for row in csv.DictReader(open("orders.csv")):
    totals[row["customer"]] += int(row["count"]) * int(row["price"])
json.dump({name: total for name, total in totals.items() if total}, open("totals.json", "w"))
'
