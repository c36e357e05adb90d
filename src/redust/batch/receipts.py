"""What can be proven of a restored scan: a receipt beside the result, and a PREMIS event for archives."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from redust.batch.ledger import Ledger
from redust.batch.ledger_entry import LedgerEntry, OutputFile, ScanState
from redust.batch.storage import file_exists, write_whole

PREMIS = "http://www.loc.gov/premis/v3"
"""Namespace of PREMIS 3 (Library of Congress)."""

RECEIPT_SUFFIX, PREMIS_SUFFIX = ".receipt.json", ".premis.xml"

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_RECEIPT_FIELDS = ("status", "coverage", "regions", "classes", "level", "mask_sha256", "models", "settings", "warnings")


@dataclass(frozen=True)
class Receipt:
    """What was done to one scan, for people who have to prove it.

    Parameters
    ----------
    source
        The scan's path as it was given.
    input_sha256
        Of the scan's bytes.
    outputs
        SHA-256 of each file that was written, by its path relative to the output folder.
    report
        The scan's report as JSON data.
    finished
        When.
    """

    source: str
    input_sha256: str
    outputs: dict[str, str]
    report: dict[str, Any]
    finished: datetime

    @classmethod
    def make(
        cls, source: str, input_sha256: str, outputs: Sequence[OutputFile], report: dict[str, Any], finished_at: float
    ) -> Receipt:
        """The receipt of a scan that was restored at a time in seconds since 1970."""
        hashes = {file.path: file.sha256 for file in outputs}
        return cls(source, input_sha256, hashes, report, datetime.fromtimestamp(finished_at, UTC))

    def to_json(self) -> str:
        """The receipt as indented JSON."""
        facts = {
            "redust": self.report["redust"],
            "date": self.finished.isoformat(timespec="seconds"),
            "source": self.source,
            "input_sha256": self.input_sha256,
            "outputs": self.outputs,
        }
        facts |= {name: self.report.get(name) for name in _RECEIPT_FIELDS}
        return json.dumps(facts, indent=2, ensure_ascii=True) + "\n"

    def to_premis(self) -> bytes:
        """The receipt as a PREMIS 3 document: files as objects, the restoration as an event, ReDust as the agent."""
        ElementTree.register_namespace("", PREMIS)
        ElementTree.register_namespace("xsi", _XSI)
        root = ElementTree.Element(_tag("premis"), {"version": "3.0"})
        _add_object(root, self.source, self.input_sha256)
        for path, sha256 in self.outputs.items():
            _add_object(root, path, sha256)
        self._add_event(root)
        _add_agent(root, self.report["redust"])
        ElementTree.indent(root)
        document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
        return document

    def _add_event(self, root: ElementTree.Element) -> None:
        event = ElementTree.SubElement(root, _tag("event"))
        _add_identifier(event, "event", f"{self.input_sha256}-{self.finished.isoformat(timespec='seconds')}")
        _add_text(event, "eventType", "modification")
        _add_text(event, "eventDateTime", self.finished.isoformat(timespec="seconds"))
        detail = ElementTree.SubElement(event, _tag("eventDetailInformation"))
        _add_text(detail, "eventDetail", self._describe_change())
        outcome = ElementTree.SubElement(event, _tag("eventOutcomeInformation"))
        _add_text(outcome, "eventOutcome", "success")
        _add_link(event, "linkingAgentIdentifier", "local", "ReDust")
        _add_link(event, "linkingObjectIdentifier", "sha256", self.input_sha256, role="source")
        for sha256 in self.outputs.values():
            _add_link(event, "linkingObjectIdentifier", "sha256", sha256, role="outcome")

    def _describe_change(self) -> str:
        share = f"{self.report['coverage']:.4%} of the pixels filled by {self.report.get('fill') or 'a generator'}"
        models = "; ".join(f"{name} sha256 {sha256}" for name, sha256 in self.report["models"].items())
        mask = self.report.get("mask_sha256")
        sentences = [f"Dust and scratch removal: {share}; every other pixel unchanged"]
        sentences += [f"mask sha256 {mask}"] if mask else []
        sentences += [f"weights: {models}"] if models else []
        return ". ".join(sentences) + "."


def receipt_path(target: Path) -> Path:
    """Where a result's receipt lies."""
    return target.with_name(target.name + RECEIPT_SUFFIX)


def premis_path(target: Path) -> Path:
    """Where a result's PREMIS document lies."""
    return target.with_name(target.name + PREMIS_SUFFIX)


def write_receipt(receipt: Receipt, target: Path, *, receipts: bool = True, premis: bool = False) -> None:
    """Write a receipt beside a result, and its PREMIS document; earlier files of these names are replaced.

    Raises
    ------
    TargetError
        If it cannot be written.
    """
    if receipts:
        write_whole(receipt_path(target), receipt.to_json().encode())
    if premis:
        write_whole(premis_path(target), receipt.to_premis())


def complete_receipts(
    entries: Iterable[LedgerEntry], ledger: Ledger, targets: Mapping[str, Path], *, receipts: bool, premis: bool
) -> int:
    """Write the receipts of finished scans that have none, as when they were finished without.

    Parameters
    ----------
    targets
        The restored scans by key.

    Returns
    -------
    count : int
        How many were written.
    """
    count = 0
    for entry in entries:
        target = targets.get(entry.key)
        if target is None or entry.state is not ScanState.done:
            continue
        missing_receipt = receipts and not file_exists(receipt_path(target))
        missing_premis = premis and not file_exists(premis_path(target))
        if missing_receipt or missing_premis:
            receipt = Receipt.make(
                entry.source,
                entry.input_sha256 or "",
                entry.outputs,
                ledger.read_report(entry.key),
                entry.finished_at or 0.0,
            )
            write_receipt(receipt, target, receipts=missing_receipt, premis=missing_premis)
            count += 1
    return count


def _tag(name: str) -> str:
    return f"{{{PREMIS}}}{name}"


def _add_text(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, _tag(name)).text = _printable(text)


def _printable(text: str) -> str:
    """Text that XML can hold: control characters and bytes that are no characters as escapes."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def _add_identifier(parent: ElementTree.Element, kind: str, value: str) -> None:
    identifier = ElementTree.SubElement(parent, _tag(f"{kind}Identifier"))
    _add_text(identifier, f"{kind}IdentifierType", "local")
    _add_text(identifier, f"{kind}IdentifierValue", value)


def _add_object(root: ElementTree.Element, name: str, sha256: str) -> None:
    element = ElementTree.SubElement(root, _tag("object"), {f"{{{_XSI}}}type": "file"})
    identifier = ElementTree.SubElement(element, _tag("objectIdentifier"))
    _add_text(identifier, "objectIdentifierType", "sha256")
    _add_text(identifier, "objectIdentifierValue", sha256)
    characteristics = ElementTree.SubElement(element, _tag("objectCharacteristics"))
    fixity = ElementTree.SubElement(characteristics, _tag("fixity"))
    _add_text(fixity, "messageDigestAlgorithm", "SHA-256")
    _add_text(fixity, "messageDigest", sha256)
    form = ElementTree.SubElement(ElementTree.SubElement(characteristics, _tag("format")), _tag("formatDesignation"))
    _add_text(form, "formatName", Path(name).suffix.lstrip(".").lower() or "unknown")
    _add_text(element, "originalName", name)


def _add_agent(root: ElementTree.Element, version: str) -> None:
    agent = ElementTree.SubElement(root, _tag("agent"))
    identifier = ElementTree.SubElement(agent, _tag("agentIdentifier"))
    _add_text(identifier, "agentIdentifierType", "local")
    _add_text(identifier, "agentIdentifierValue", "ReDust")
    _add_text(agent, "agentName", "ReDust")
    _add_text(agent, "agentType", "software")
    _add_text(agent, "agentVersion", version)


def _add_link(event: ElementTree.Element, name: str, kind: str, value: str, role: str = "") -> None:
    link = ElementTree.SubElement(event, _tag(name))
    _add_text(link, f"{name}Type", kind)
    _add_text(link, f"{name}Value", value)
    if role:
        _add_text(link, name.replace("Identifier", "Role"), role)
