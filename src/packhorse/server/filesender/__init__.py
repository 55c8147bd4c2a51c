"""FileSender's rules on the server, without HTTP: transfers, guests, letters, limits, cleaning up."""
