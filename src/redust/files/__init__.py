"""Files in and out, faithful: TIFF, PNG, JPEG, WebP, JPEG 2000."""
