"""One clip, from a wish to a strip, as states and sentences. Pure: no bpy, no files, no sockets."""
