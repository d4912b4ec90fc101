"""One clip, from a wish to a strip, as states and sentences. Pure: no bpy, no files, no sockets.

Wish: what the artist asks for. It may leave things open, such as the length.
Job: a wish on its way, under the name by which the backend knows it too. It knows where its clip goes.
Clip: the frames that come of a job, in a folder of their own. Strip: the clip in the edit.
Style: what the backend offers, as the protocol tells it. Request: the wish as a message, `Generate`.
Session: all jobs of this Blender and the conversation about them. Link: how far the conversation is.
Event: a call of the session. Action: its answer, which the pump (`machine.pump`) carries out.
News: a message about one job. Problem: what went wrong. Status: where a job is, for a person to read.
"""
