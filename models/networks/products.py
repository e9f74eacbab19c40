"""Matrix products and convolutions of many images, in blocks that fit the processor.

A block's copies stay in the cache, where those of a whole batch would go through memory, and BLAS
computes each product on one thread: on matrices that small, threads cost more than they save.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

ONE_THREAD = 2**19 - 1  # multiplications up to which OpenBLAS starts no further thread
MOST_ROWS = 256  # of one product; more are not faster
IN_CACHE = 2**18  # numbers of a block, 2 MiB


def product(rows: np.ndarray, kernel: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Matrix product in blocks of equally many rows.

    Parameters
    ----------
    rows : ndarray, shape (n, n_in)
        Any number of rows.
    kernel : ndarray, shape (n_in, n_out)
        The same for all.
    out : ndarray, shape (n, n_out), optional
        Contiguous; where to write the result.

    Returns
    -------
    ndarray, shape (n, n_out)

    Notes
    -----
    Since all products have one shape, the result of a row depends neither on the number of rows nor
    on that of threads. Kernels of more than 2**16 weights are multiplied in one piece, and their
    last bits may depend on both.
    """
    n, (n_in, n_out) = len(rows), kernel.shape
    at_once = min(ONE_THREAD // (n_in * n_out), MOST_ROWS) // 8 * 8
    if out is None:
        out = np.empty((n, n_out))
    if not at_once:
        return np.matmul(rows, kernel, out=out)
    whole = n // at_once * at_once
    blocks = rows[:whole].reshape(-1, at_once, n_in)
    np.matmul(blocks, kernel, out=out[:whole].reshape(-1, at_once, n_out))
    if whole < n:
        last = np.zeros((at_once, n_in))
        last[: n - whole] = rows[whole:]
        out[whole:] = (last @ kernel)[: n - whole]
    return out


def convolution(views: np.ndarray, kernel: np.ndarray, groups: int) -> np.ndarray:
    """Weighted sums of windows.

    Parameters
    ----------
    views : ndarray, shape (n, H, W, C, kh, kw)
        A view of all windows.
    kernel : ndarray, shape (kh, kw, C / groups, n_out)
        Output channel ``o`` belongs to group ``o // (n_out / groups)``.
    groups : int
        Number of channel groups.

    Returns
    -------
    ndarray, shape (n, H, W, n_out)
    """
    n, rows, columns = views.shape[:3]
    kh, kw, n_in, n_out = kernel.shape
    out = np.empty((n, rows, columns, n_out))
    if n_in == 1 and n_out == groups:
        return _depthwise(views, kernel[:, :, 0], out)
    size, made = kh * kw * n_in, n_out // groups
    views = views.transpose(0, 1, 2, 4, 5, 3)
    for part in _parts(n, rows, columns * size):
        for group in range(groups):
            patches = views[part][..., group * n_in : (group + 1) * n_in].reshape(-1, size)
            to = slice(group * made, (group + 1) * made)
            weights = kernel[..., to].reshape(size, made)
            found = out[part]  # contiguous, since blocks are whole images or rows of one
            if groups == 1:
                product(patches, weights, found.reshape(-1, made))
            else:
                found[..., to] = product(patches, weights).reshape(*found.shape[:3], made)
    return out


def _parts(n: int, rows: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Images and rows of each block; one row has copies of `size` numbers."""
    rows_at_once = max(1, min(rows, IN_CACHE // size))
    images_at_once = max(1, IN_CACHE // (rows * size))
    for image in range(0, n, images_at_once):
        for row in range(0, rows, rows_at_once):
            yield slice(image, image + images_at_once), slice(row, row + rows_at_once)


def _depthwise(views: np.ndarray, kernel: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Each channel by itself, kernel of shape (kh, kw, C): no copies of windows."""
    np.multiply(views[..., 0, 0], kernel[0, 0], out=out)
    for row, column in list(np.ndindex(kernel.shape[:2]))[1:]:
        out += views[..., row, column] * kernel[row, column]
    return out
