"""What everything else may stand on."""
