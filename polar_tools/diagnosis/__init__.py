"""What goes wrong in trainings, a file a diagnosis: how it shows, what is the likely cause, what to change in the config."""
