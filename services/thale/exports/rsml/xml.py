"""Safe parser for untrusted XML: no entities, network or DTD, with limits on bytes, elements and depth."""

from copy import deepcopy

from lxml import etree

from thale.errors import AnnotationError

MAX_BYTES = 64 * 2**20
MAX_ELEMENTS = 1_000_000
_CHUNK = 256 * 2**10


def parse_untrusted(data: bytes) -> etree._Element:
    """Return the root element of an XML document.

    Comments and processing instructions are dropped. libxml2 limits the depth to 256 elements.

    Raises:
        AnnotationError: If the data are not XML, exceed a limit, or declare entities, which no RSML file needs.
    """
    if not data.strip():
        raise AnnotationError("the file is empty: send an RSML file, which is XML with the root element <rsml>")
    if len(data) > MAX_BYTES:
        raise AnnotationError(
            f"the file is {len(data) / 2**20:.0f} MiB: split it, the limit is {MAX_BYTES // 2**20} MiB"
        )
    parser = etree.XMLPullParser(
        events=("start",),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_blank_text=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = _feed(parser, data)
    except etree.XMLSyntaxError as error:
        raise AnnotationError(f"the file is not well-formed XML: {error}") from error
    _reject_entities(root)
    return root


def _feed(parser: etree.XMLPullParser, data: bytes) -> etree._Element:
    elements = 0
    for start in range(0, len(data), _CHUNK):
        parser.feed(data[start : start + _CHUNK])
        elements += sum(1 for _ in parser.read_events())
        if elements > MAX_ELEMENTS:
            raise AnnotationError(f"the file has more than {MAX_ELEMENTS} elements: split it by plant or by image")
    return parser.close()


def _reject_entities(root: etree._Element) -> None:
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and next(iter(dtd.iterentities()), None) is not None:
        raise AnnotationError("the file declares XML entities, which are not allowed: save it without its DOCTYPE")


def local_name(element: etree._Element) -> str:
    """Return the tag of an element without its namespace, or an empty string for other nodes."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def children(element: etree._Element | None, tag: str) -> list[etree._Element]:
    """Return the children with a tag, in any namespace."""
    return [child for child in element if local_name(child) == tag] if element is not None else []


def first(element: etree._Element | None, tag: str) -> etree._Element | None:
    """Return the first child with a tag, or None."""
    return next(iter(children(element, tag)), None)


def text_of(element: etree._Element | None, tag: str) -> str:
    """Return the stripped text of the first child with a tag, or an empty string."""
    child = first(element, tag)
    return (child.text or "").strip() if child is not None else ""


def source_of(element: etree._Element) -> str:
    """Return the source of an element, with only the namespaces that it uses."""
    element = deepcopy(element)
    etree.cleanup_namespaces(element)
    return str(etree.tostring(element, encoding="unicode", with_tail=False))
