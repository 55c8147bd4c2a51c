"""FileSender's REST service and downloads (spec filesender)."""
