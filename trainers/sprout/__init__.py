"""How sprout, the small backbone that ships with wisen, is made: procedurally generated episodes, a tokenizer, a loop.

`python -m wisen.trainers.sprout.train --minutes N --out DIR` trains it; the weights that ship lie in
`wisen.models.sprout`.
"""
