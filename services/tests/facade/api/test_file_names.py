"""Tests of the file names of uploads, in the forms that clients write."""

import pytest
from python_multipart.multipart import parse_options_header

from thale.facade.api.file_names import upload_name


def name_of(parameters: bytes) -> str | None:
    disposition = b'form-data; name="image"; ' + parameters
    return upload_name(disposition, parse_options_header(disposition)[1])


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ('filename="plätte 1.png"'.encode(), "plätte 1.png"),  # requests, curl, browsers
        (b"filename*=UTF-8''pl%C3%A4tte.png", "plätte.png"),
        (b"filename=\"=?utf-8?B?cGzDpHR0ZS5wbmc=?=\"; filename*=utf-8''pl%C3%A4tte.png", "plätte.png"),  # .NET
        (b'filename="=?utf-8?B?cGzDpHR0ZS5wbmc=?="', "plätte.png"),
        (b"filename*=iso-8859-1'de'pl%E4tte.png; filename=x.png", "plätte.png"),
        (b'filename="a %22b%22.png"', 'a "b".png'),  # httpx, browsers
        (b'filename="a%0D%0Ab.png"', "ab.png"),
        (b'filename="50%20mM.png"', "50%20mM.png"),
        (b'filename="C:\\Users\\me\\p1.png"', "p1.png"),
        (b"filename=p.png", "p.png"),
        (b"filename=\"a; filename*=UTF-8''b.png\"", "a; filename*=UTF-8''b.png"),
        (b"filename*=none''b.png; filename=a.png", "a.png"),
        (b"filename*=UTF-8''%FF.png; filename=a.png", "a.png"),
        (b"filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
        (b'filename="=?none?B?x?="', "=?none?B?x?="),
        (b'filename=""', None),
        (b"", None),
    ],
)
def test_upload_name_reads_each_form(parameters: bytes, name: str | None) -> None:
    assert name_of(parameters) == name


@pytest.mark.parametrize("part", [b'; a="\\', b";", b"; filename*=UTF-8'", b'; a="x', b"; a =  "])
def test_upload_name_reads_long_headers_in_linear_time(part: bytes) -> None:
    """A quadratic search of 64 KiB exceeds the time limit of the test."""
    disposition = b"form-data; name=image" + part * (65_536 // len(part))
    assert upload_name(disposition, {}) is None
