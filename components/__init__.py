"""What Pulumi declares: one component a file, none of them aware of another."""
