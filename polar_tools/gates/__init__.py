"""What must hold before a publication leaves this machine: a file a gate."""
