"""How close a picture is to the truth: PSNR and SSIM, and the protocol by which papers measure super-resolution."""

from misr.metrics.protocol import bd, bi, cropped, luma601, luma_psnr_db, luma_ssim, to_codes
from misr.metrics.psnr import psnr_db
from misr.metrics.ssim import ssim

__all__ = ["bd", "bi", "cropped", "luma601", "luma_psnr_db", "luma_ssim", "psnr_db", "ssim", "to_codes"]
