"""What a release needs beside the image: its version, its notes, and the licences of what it is made with."""
