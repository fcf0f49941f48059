"""What Norm Inspector measures, reports and draws."""
