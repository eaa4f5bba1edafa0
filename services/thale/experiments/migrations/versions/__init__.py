"""Scripts of the migrations, in order."""
