"""How the bytes of an input are had where they do not simply lie in a file: packed, in an archive, in a part, once."""
