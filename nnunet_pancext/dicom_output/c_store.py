"""An association with a receiver of DICOM's own protocol, and why there is none."""

import re
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from nnunet_pancext.dicom_output.access import optional_module
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.console_text import printable

CONNECT_S, ANSWER_S, STORE_S = 10, 30, 300  # how long it waits


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Who receives by C-STORE: its title, host and port."""

    aet: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.aet}@{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def parse_peer(text: str) -> Peer:
    """Return what `AET@HOST:PORT` names; PancextError if it has another form."""
    match = re.fullmatch(r"([^@\\]+)@(?:\[([0-9A-Fa-f:.]+)\]|([^@:/\s\[\]]+)):(\d{1,5})", text)
    if match is None or not 0 < int(match[4]) < 1 << 16:
        raise PancextError(
            f"{printable(text)} is not a receiver. Give AET@HOST:PORT, as in ORTHANC@10.0.0.5:4242."
        )
    return Peer(aet=require_aet(match[1]), host=match[2] or match[3], port=int(match[4]))


def require_aet(text: str) -> str:
    """Return an application entity title; PancextError if it is none."""
    if not re.fullmatch(r"[ -\[\]-~]{1,16}", text) or not text.strip():
        raise PancextError(
            f"{printable(text)!r} is not an AE title. It has 1 to 16 characters of ASCII, and no backslash."
        )
    return text


def c_store(instance: Any, peer: Peer, *, calling_aet: str, context: ssl.SSLContext | None) -> Any:
    """Send the instance and return the receiver's status; PancextError if it accepts no association."""
    pynetdicom = optional_module("pynetdicom")
    address = _reach(peer)
    entity = pynetdicom.AE(ae_title=calling_aet)
    entity.connection_timeout, entity.acse_timeout = CONNECT_S, ANSWER_S
    entity.dimse_timeout, entity.network_timeout = STORE_S, STORE_S
    entity.add_requested_context(instance.SOPClassUID, _syntaxes(instance))
    opened: list[Any] = []
    received: list[Any] = []
    association = entity.associate(
        address,
        peer.port,
        ae_title=peer.aet,
        tls_args=None if context is None else (context, peer.host),
        evt_handlers=[
            (pynetdicom.evt.EVT_CONN_OPEN, opened.append),
            (pynetdicom.evt.EVT_PDU_RECV, received.append),
        ],
    )
    if not association.is_established:
        if not opened:
            raise _unreachable(peer, address, context)
        # Not from the association: it does not notice a rejection that comes at once.
        rejections = [event.pdu for event in received if isinstance(event.pdu, pynetdicom.pdu.A_ASSOCIATE_RJ)]
        if rejections:
            raise _rejected(peer, rejections[0].reason_str)
        raise _not_accepted(peer, association, has_tls=context is not None)
    try:
        return association.send_c_store(instance)
    except RuntimeError:  # the association has ended meanwhile
        return {}
    except (ValueError, AttributeError) as error:
        reason = f"the file cannot be sent ({printable(str(error), most=200)})"
        raise refusal(peer, reason, "Check it with dciodvfy.") from error
    finally:
        if association.is_established:
            association.release()


def _reach(peer: Peer) -> str:
    """Return an IP address of the receiver."""
    try:
        found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise refusal(
            peer, "the name of the host is not known", "Check the name, and the network."
        ) from error
    # IPv4 first, which most archives listen on alone.
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])


def _syntaxes(instance: Any) -> list[str]:
    """Return the transfer syntaxes to offer: that of the file, and its like without compression."""
    syntax = instance.file_meta.TransferSyntaxUID
    plain = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]  # explicit and implicit, little endian
    return [syntax, *(other for other in plain if other != syntax)] if syntax in plain else [syntax]


def _unreachable(peer: Peer, address: str, context: ssl.SSLContext | None) -> PancextError:
    """Return why no connection was made, by making one: pynetdicom does not say."""
    try:
        with socket.create_connection((address, peer.port), timeout=CONNECT_S) as plain:
            if context is not None:
                with context.wrap_socket(plain, server_hostname=peer.host):
                    pass
    except ssl.SSLCertVerificationError as error:
        return refusal(
            peer,
            f"its certificate is not accepted ({error.verify_message})",
            "Give the certificate of its authority (--ca-bundle FILE), and the host as it is named there.",
        )
    except (ssl.SSLError, ConnectionResetError):
        return refusal(
            peer, "there is no TLS at this port, or none that works", "Check the port; try without --tls."
        )
    except ConnectionRefusedError:
        return refusal(peer, "nothing listens there (connection refused)", "Check host and port.")
    except OSError as error:
        reason = f"there is no connection ({error.strerror or 'timed out'})"
        return refusal(peer, reason, "Check host, port and network.")
    return refusal(peer, "the connection broke off", "Try again.")


def _rejected(peer: Peer, answer: str) -> PancextError:
    """Return the error for an association that the receiver rejects."""
    reason = f"it rejects the association ({printable(answer.lower())})"
    if "called" in reason:
        return refusal(peer, reason, "Check the AE title before @; upper and lower case differ.")
    if "calling" in reason:
        return refusal(peer, reason, "Have this machine's AE title registered there, or give --calling-aet.")
    return refusal(peer, reason, "Try again later, or ask its administrator.")


def _not_accepted(peer: Peer, association: Any, *, has_tls: bool) -> PancextError:
    """Return why the receiver accepts no association, nor rejects it."""
    if association.rejected_contexts:
        return refusal(
            peer, "it does not accept objects of this kind", "Ask for its support of Segmentation Storage."
        )
    remedy = (
        "Its log may say why." if has_tls else "It may not be a DICOM service, or may require TLS: --tls."
    )
    return refusal(peer, "it accepts no association", remedy)


def refusal(peer: Peer, reason: str, remedy: str) -> PancextError:
    """Return the error for an object that did not reach the receiver."""
    return PancextError(f"Cannot send to {peer}: {reason}. {remedy}")
