"""What a file is, whatever of ours or of the field's it is."""
