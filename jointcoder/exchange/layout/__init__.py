"""Pieces of text on pages → one text, with the place of every line: reading order, running lines, joined line ends.

    pieces       what stands where, and what stands between two pieces of one line
    text_layer   a PDF page's characters → pieces
    order        pieces of a page → rows in reading order, two columns where they are clear
    running      the headers, footers and page numbers among the rows
    join         rows → text and lines: wrapped sentences whole again, headings and items at line starts
    compose      all of it: sheets → a document's text, lines and pages

Knows nothing of files or of pictures.
"""
