"""What the gate is made of: evidence, when to stop, what must not get worse, and who competes."""
