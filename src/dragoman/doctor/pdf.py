"""Writes a PDF with one page of text, for the checks."""

import base64


def pdf(*lines: str) -> str:
    """The file in base64. The lines are ASCII without parentheses and backslashes."""
    shown = "\n".join(f"({line}) '" for line in lines)
    content = f"BT /F 10 Tf 12 TL 50 800 Td\n{shown}\nET"
    page = "/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>"
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Count 1/Kids[3 0 R]>>",
        f"<</Type/Page{page}>>",
        f"<</Length {len(content)}>>stream\n{content}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    written, offsets = "%PDF-1.4\n", []
    for number, entry in enumerate(objects, 1):
        offsets.append(len(written))
        written += f"{number} 0 obj\n{entry}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    trailer = f"trailer\n<</Size {size}/Root 1 0 R>>\nstartxref\n{len(written)}\n%%EOF\n"
    return base64.b64encode(f"{written}xref\n0 {size}\n0000000000 65535 f \n{table}{trailer}".encode()).decode()
