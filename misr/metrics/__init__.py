"""How close a picture is to the truth, how steady a clip, and the protocol by which papers measure super-resolution."""

from misr.metrics.cpsnr import cpsnr_db
from misr.metrics.ifc import ifc
from misr.metrics.ms_ssim import ms_ssim
from misr.metrics.protocol import bd, bi, cropped, luma601, luma_psnr_db, luma_ssim, to_codes
from misr.metrics.psnr import psnr_db
from misr.metrics.ssim import ssim
from misr.metrics.temporal import Motion, flicker, motion, warp_error
from misr.metrics.vif import vif

__all__ = [
    "Motion",
    "bd",
    "bi",
    "cpsnr_db",
    "cropped",
    "flicker",
    "ifc",
    "luma601",
    "luma_psnr_db",
    "luma_ssim",
    "motion",
    "ms_ssim",
    "psnr_db",
    "ssim",
    "to_codes",
    "vif",
    "warp_error",
]
