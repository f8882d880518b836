"""What a plan will need before any of it is made: memory, disk, tokens, time. Formulas, corrected by what past runs measured."""
