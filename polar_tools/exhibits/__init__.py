"""What a report shows of experiments, read off their records; no words of any page are in here."""
