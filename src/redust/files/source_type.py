"""The IPTC digital source type in XMP: that a picture was altered by an algorithm, or by a trained one.

Source: IPTC Photo Metadata Standard 2024, property Digital Source Type; NewsCodes scheme ``digitalsourcetype``.
"""

from __future__ import annotations

import re
from dataclasses import replace

from redust.core.errors import LossyTarget
from redust.core.scan import Scan

_SCHEME = "http://cv.iptc.org/newscodes/digitalsourcetype/"
ALTERED = f"{_SCHEME}algorithmicallyEnhanced"
"""Modification or correction by an algorithm without a trained network that generates."""
COMPOSITE = f"{_SCHEME}compositeWithTrainedAlgorithmicMedia"
"""Parts made by a trained network, as by inpainting."""

_NAMESPACE = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_PACKET = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
</rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""
_VALUE = re.compile(rb'([<\s][\w.-]+:DigitalSourceType\s*(?:=\s*["\']|>\s*))[^"\'<]*')
_ABOUT = re.compile(rb'rdf:about\s*=\s*(["\'])(.*?)\1', re.DOTALL)


def mark_source_type(scan: Scan, *, trained: bool) -> Scan:
    """Say in a scan's XMP that it was altered; everything else of the packet stays byte for byte.

    Parameters
    ----------
    trained
        Whether a trained network made pixels.

    Raises
    ------
    LossyTarget
        If the scan's XMP is not in UTF-8, or holds no RDF.
    """
    value = (COMPOSITE if trained else ALTERED).encode()
    packet = scan.xmp or _PACKET
    if _VALUE.search(packet):
        return replace(scan, xmp=_VALUE.sub(rb"\g<1>" + value, packet))
    head, end, tail = packet.rpartition(b"</rdf:RDF>")
    if not end:
        raise LossyTarget(
            "The scan's XMP cannot hold the digital source type: it is no RDF in UTF-8. "
            "Restore it without --mark-source-type."
        )
    about = _ABOUT.search(head)
    description = b'<rdf:Description rdf:about="%s" xmlns:Iptc4xmpExt="%s" Iptc4xmpExt:DigitalSourceType="%s"/>\n' % (
        about[2] if about else b"", _NAMESPACE.encode(), value,
    )  # fmt: skip
    return replace(scan, xmp=head + description + end + tail)
