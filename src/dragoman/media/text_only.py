"""Replaces attachments for a model that reads only text: text and search results are kept, images and PDFs become notes."""

from dataclasses import replace

from dragoman.conversation import Dialogue
from dragoman.media.notes import log_note, unseen
from dragoman.media.substitution import substitute, unresolved


def for_text_only(dialogue: Dialogue) -> Dialogue:
    """The dialogue without attachments; its notes say what was omitted."""
    if not dialogue.attachments:
        return dialogue
    notes = log_note(unresolved(dialogue))
    return replace(substitute(dialogue, lambda attachment: (unseen(attachment),)), notes=(*notes, *dialogue.notes))
