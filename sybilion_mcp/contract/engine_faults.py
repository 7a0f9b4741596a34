"""What the embedded engine says in place of "internal error" where it knows what failed under it."""

FILES = "the files of the engine cannot be used"
DRIVER_FOLDER = "the driver folder cannot be read"
