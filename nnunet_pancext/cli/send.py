"""`pancext send`: store DICOM files in a PACS, by STOW-RS or C-STORE."""

import argparse
import sys
from pathlib import Path

from nnunet_pancext.cli.options import add_access, add_command
from nnunet_pancext.errors import PancextError

DESCRIPTION = """\
Store DICOM files, such as the segmentations of `pancext predict`, in a PACS. It needs the extra "dicom":
pip install "nnunet-pancext[dicom]". A file counts as sent when the PACS confirms it, and is always kept here.
The exit code is 1 if a file was not sent."""

EXAMPLES = """\
examples:
  pancext send segmentations/*.seg.dcm --store https://pacs.hospital/dicom-web --token-file token
  pancext send CASE.seg.dcm --send ORTHANC@10.0.0.5:4242
  pancext send CASE.seg.dcm --send PACS@pacs.hospital:2762 --tls --ca-bundle hospital.pem
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the `send` sub-command."""
    text = "store DICOM files in a PACS"
    parser = add_command(commands, "send", help=text, description=DESCRIPTION, epilog=EXAMPLES)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="DICOM file")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--store", metavar="URL", help="DICOMweb service: https://HOST/PATH (STOW-RS)")
    target.add_argument("--send", metavar="AET@HOST:PORT", help="receiver by C-STORE")
    parser.add_argument(
        "--calling-aet", metavar="AET", help="this machine's AE title for --send (default: PANCEXT)"
    )
    parser.add_argument("--tls", action="store_true", help="encrypt --send (https always is)")
    add_access(parser)
    parser.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Send each file, and print a line for it."""
    from nnunet_pancext.dicom_output import send
    from nnunet_pancext.dicom_output.access import access_from
    from nnunet_pancext.dicom_output.c_store import parse_peer, require_aet
    from nnunet_pancext.dicom_output.quiet import quiet_dicom
    from nnunet_pancext.io.console_text import printable

    if parsed.store is not None and (parsed.tls or parsed.calling_aet):
        raise PancextError("--tls and --calling-aet belong to --send; --store encrypts by https. Omit them.")
    access = access_from(
        token_file=parsed.token_file,
        ca_bundle=parsed.ca_bundle,
        client_certificate=parsed.client_certificate,
        allow_http=parsed.allow_http,
    )
    if parsed.store is not None:
        send.parse_store(parsed.store, access=access)
    else:
        peer = parse_peer(parsed.send)
        calling_aet = require_aet(parsed.calling_aet or send.CALLING_AET)
    failures = 0
    for file in parsed.files:
        try:
            with quiet_dicom():
                if parsed.store is not None:
                    warnings = send.store(file, parsed.store, access=access)
                else:
                    warnings = send.send(file, peer, access=access, calling_aet=calling_aet, tls=parsed.tls)
        except PancextError as error:
            if len(parsed.files) == 1:
                raise
            failures += 1
            lines = (printable(line, most=20_000) for line in str(error).split("\n"))
            print("pancext send: " + "\n".join(lines), file=sys.stderr, flush=True)
            continue
        remarks = f", but {'; '.join(warnings)}" if warnings else ""
        print(f"sent      {printable(str(file), most=4096)}{remarks}", flush=True)
    if failures:
        print(f"pancext send: {failures} of {len(parsed.files)} files were not sent", file=sys.stderr)
    return 1 if failures else 0
