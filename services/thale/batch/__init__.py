"""Many images through a server into a folder of results: resumable, and one bad file does not stop the rest."""
