"""A plan for two models that nobody has tuned: where the T2V is to be heard, and for how many steps.

`probing` listens to the models on a few prompts, `choosing` makes refinements of what was heard, `calibrating` is both
within a budget of arithmetic, and `comparing` holds the plan against a preset on other prompts.
"""
