"""Safetensors files: headers read as strictly as the format wants, data mapped into memory, new files written."""
