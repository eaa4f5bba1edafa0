"""Errors of an image or of its scale."""

from thale.errors.thale_error import ThaleError


class ImageError(ThaleError):
    """The image cannot be measured."""

    code = "image"


class EmptyImageError(ImageError):
    """The request body is empty. Send the bytes of a JPEG, PNG, TIFF or HEIC image."""

    code = "empty-image"

    def __init__(self) -> None:
        super().__init__("the request body is empty: send the bytes of a JPEG, PNG, TIFF or HEIC image")


class UnsupportedImageError(ImageError):
    """The file is not a JPEG, PNG, TIFF or HEIC image, or it is a variant that thale cannot decode."""

    code = "unsupported-image"


class DamagedImageError(ImageError):
    """The image is truncated or corrupt. Its header is valid, but its pixels cannot be decoded."""

    code = "damaged-image"


class ImageTooSmallError(ImageError):
    """The image has fewer pixels than the measurement of a seedling needs."""

    code = "image-too-small"

    def __init__(self, width: int, height: int, min_side_px: int) -> None:
        super().__init__(
            f"the image is {width} x {height} px: send an image of at least {min_side_px} x {min_side_px} px"
        )
        self.width, self.height, self.min_side_px = width, height, min_side_px


class ImageTooLargeError(ImageError):
    """The image has more bytes or pixels than the limits allow."""

    code = "image-too-large"


class MultiPageImageError(ImageError):
    """The TIFF has several pages, and the request does not select one. Select it with the parameter `page`."""

    code = "multi-page-image"

    def __init__(self, pages: int) -> None:
        super().__init__(
            f"the TIFF has {pages} pages: select one with page=0 … page={pages - 1}, "
            "or send each page as a separate file"
        )
        self.pages = pages


class DoubtfulImageError(ImageError):
    """The gate doubts that the image shows upright square plates like those of the training, and `strict` is true."""

    code = "doubtful-image"


class ScaleError(ThaleError):
    """The scale is outside the range that is possible for a photograph of plants."""

    code = "scale"
