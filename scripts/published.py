"""What papers and publishers of weights say of themselves: one place for verify_published and classics.

PSNR in dB and SSIM on luma, borders of the scale left out, LR by antialiased bicubic, unless a remark says otherwise. Every
line of CLAIMS says where a second place was seen with the same numbers; lines without one are from memory alone, and tables
mark them.
"""

from dataclasses import dataclass

SETS = ("Set5", "Set14", "B100", "Urban100")
Score = tuple[float | None, float | None]  # PSNR in dB, SSIM; None: not given
NONE: Score = (None, None)

PAPERS = {  # method: its paper; the order is that of tables
    "bicubic": "Keys, TASSP 1981",
    "sparse": "Yang et al., TIP 2010",
    "srcnn": "Dong et al., ECCV 2014; TPAMI 2016",
    "vdsr": "Kim et al., CVPR 2016",
    "fsrcnn": "Dong et al., ECCV 2016",
    "espcn": "Shi et al., CVPR 2016",
    "srresnet": "Ledig et al., CVPR 2017",
    "srgan": "Ledig et al., CVPR 2017",
    "edsr": "Lim et al., CVPRW 2017",
    "johnson": "Johnson et al., ECCV 2016",
    "swinir": "Liang et al., ICCVW 2021",
    "lapsrn": "Lai et al., CVPR 2017",
    "prosr": "Wang et al., CVPRW 2018",
    "dbpn": "Haris et al., CVPR 2018",
    "hourglass": "after Newell et al., ECCV 2016",
    "cincgan": "Yuan et al., CVPRW 2018",
    "fast": "misr's own",
}
PLACES = {  # where numbers were seen again; owner/name is the README of that repository
    "assl": "table 2 of Zhang et al., NeurIPS 2021 (ASSLN)",
    "fork": "README of a fork of sanghyun-son/EDSR-PyTorch, with ESPCN in its table",
    "adder": "huawei-noah/AdderNet",
    "more": "xiaomi-automl/MoreMNAS",
    "drrn": "tyshiwo/DRRN_CVPR17",
    "trans": "nbaghel777/SRTransGAN",
    "review": "README of a review, Holistic-Super-Resolution-Review",
    "swinir": "tables 2 and 3 of the SwinIR paper",
    "vest": "adamvest/SRGAN",
    "yoo": "jinsuyoo/srcnn, Fivefold/SRCNN",
    "lap": "twtygqyy/pytorch-LapSRN",
    "prosr": "fperazzi/proSR, by the authors",
}
REMARKS = {
    "srcnn": "the 9-5-5 net, learned from ImageNet; of 9-1-5, misr's, learned from 91 images the paper says 32.39 on Set5 x3",
    "sparse": "as Dong et al. measured it",
    "srresnet": "SSIM of another kind, which is higher",
    "srgan": "SSIM of another kind, which is higher",
    "edsr": "the baseline of 16 blocks, as later papers measured it",
    "edsr-large": "32 blocks of 256, the one of the paper's table",
    "johnson": "by its loss on pixels; LR blurred by sigma 1 before, histograms matched",
    "prosr": "ProSR_s as its authors' code gives it, learned from DIV2K and Flickr2K",
    "lapsrn": "CVPR; their TPAMI paper of 2019 has 32.99 and 28.09 on Set14",
}

# method scale Set5 Set14 B100 Urban100 where else. In circulation with slips that are not here: bicubic x2 0.9929 for 0.9299 on
# Set5; LapSRN x2 31.08 for 31.80 on B100, and x4 37.54 for 31.54 on Set5; EDSR x3 0.9653 for 0.8653 on Urban100.
CLAIMS = """
bicubic    2  33.66/0.9299 30.24/0.8688 29.56/0.8431 26.88/0.8403  fork,drrn
bicubic    3  30.39/0.8682 27.55/0.7742 27.21/0.7385 24.46/0.7349  fork,drrn
bicubic    4  28.42/0.8104 26.00/0.7027 25.96/0.6675 23.14/0.6577  fork,drrn
sparse     3  31.42/0.882  -            -            -             yoo
srcnn      2  36.66/0.9542 32.42/0.9063 31.36/0.8879 29.50/0.8946  assl,more,fork
srcnn      3  32.75/0.9090 29.28/0.8209 28.41/0.7863 26.24/0.7989  assl,fork
srcnn      4  30.48/0.8628 27.49/0.7503 26.90/0.7101 24.52/0.7221  assl,fork
vdsr       2  37.53/0.9587 33.03/0.9124 31.90/0.8960 30.76/0.9140  assl,adder,fork
vdsr       3  33.66/0.9213 29.77/0.8314 28.82/0.7976 27.14/0.8279  assl,adder,fork
vdsr       4  31.35/0.8838 28.01/0.7674 27.29/0.7251 25.18/0.7524  assl,adder,fork
fsrcnn     2  37.00/0.9558 32.63/0.9088 31.53/0.8920 29.88/0.9020  assl,more
fsrcnn     3  33.16/0.9140 29.43/0.8242 28.53/0.7910 26.43/0.8080  assl
fsrcnn     4  30.71/0.8657 27.59/0.7535 26.98/0.7150 24.62/0.7280  assl
espcn      3  33.13/-      29.49/-      -            -             fork
espcn      4  30.90/-      27.73/-      -            -             fork
srresnet   4  32.05/0.9019 28.49/0.8184 27.58/0.7620 -             vest
srgan      4  29.40/0.8472 26.02/0.7397 25.16/0.6688 -             vest
edsr       2  37.99/0.9604 33.57/0.9175 32.16/0.8994 31.98/0.9272  trans
edsr       4  32.09/0.8938 28.58/0.7813 27.57/0.7357 26.04/0.7849  trans
edsr-large 2  38.11/0.9601 33.92/0.9195 32.32/0.9013 32.93/0.9351  adder,fork
edsr-large 4  32.46/0.8968 28.80/0.7876 27.71/0.7420 26.64/0.8033  adder,fork,review
johnson    4  28.40/0.8205 25.75/0.6994 25.91/0.6680 -             -
swinir     2  38.14/0.9611 33.86/0.9206 32.31/0.9012 32.76/0.9340  swinir
swinir     4  32.44/0.8976 28.77/0.7858 27.69/0.7406 26.47/0.7980  swinir
lapsrn     2  37.52/0.9590 33.08/0.9130 31.80/0.8950 30.41/0.9100  assl
lapsrn     4  31.54/0.8850 28.19/0.7720 27.32/0.7280 25.21/0.7560  assl,review,lap
prosr      2  -            33.52/-      32.00/-      31.61/-       prosr
prosr      4  -            28.64/-      27.50/-      26.02/-       prosr
dbpn       2  38.09/0.9600 33.85/0.9190 32.27/0.9000 32.55/0.9324  swinir
dbpn       4  32.47/0.8980 28.82/0.7860 27.72/0.7400 26.38/0.7946  swinir,review
"""


@dataclass(frozen=True)
class Claim:
    """What a paper says of its method at a scale, by set; and where a second place says the same (keys of PLACES)."""

    method: str
    scale: int
    scores: dict[str, Score]
    seen: tuple[str, ...]


@dataclass(frozen=True)
class Weights:
    """A file of DATA/peers of a method, at a scale; what its publisher says of it, and why it is not at the paper's numbers."""

    file: str
    method: str
    scale: int
    publisher: dict[str, Score]
    why: str = ""


def score(text: str) -> Score:
    """33.66/0.9299 as numbers; - for what is not given."""
    psnr, _, ssim = text.partition("/")
    return tuple(float(x) if x and x != "-" else None for x in (psnr, ssim))  # type: ignore[return-value]


def claims() -> list[Claim]:
    """All lines of CLAIMS."""
    found = []
    for line in CLAIMS.strip().splitlines():
        method, scale, *cells, seen = line.split()
        scores = dict(zip(SETS, map(score, cells), strict=True))
        found.append(Claim(method, int(scale), scores, () if seen == "-" else tuple(seen.split(","))))
    return found


def claim(method: str, scale: int) -> Claim | None:
    """What a paper says, or None."""
    return next((it for it in claims() if (it.method, it.scale) == (method, scale)), None)


def psnr(*values: float | None) -> dict[str, Score]:
    """PSNR alone, set by set."""
    return {name: (value, None) for name, value in zip(SETS, values, strict=False) if value is not None}


TF = "not the paper's weights, and learned on LR without antialiasing: see the next table"
LEVEL = "made for x4; this is its first level, on the way"
EGVSR = "another net (one layer and a sigmoid more), trained for a comparison of video; no number was published"
PHONES = "its paper's numbers are in no table that could be read here"
GAN = "5 blocks, not 16, and adversarial; published without means over sets"

# Publishers' numbers are in the READMEs of twtygqyy/pytorch-vdsr and twtygqyy/pytorch-LapSRN; the latter says 37.65 for Set5 x4,
# which must be 31.65, as beside it the paper's 31.54 stands as 37.54.
PEERS = (
    Weights("lapsrn_model_epoch_100.npz", "lapsrn", 4, psnr(31.65, 28.27, 27.36)),
    Weights("lapsrn_model_epoch_100.npz", "lapsrn", 2, {}, LEVEL),
    Weights("vdsr_model_epoch_50.npz", "vdsr", 2, psnr(37.65)),
    Weights("vdsr_model_epoch_50.npz", "vdsr", 3, psnr(33.77)),
    Weights("vdsr_model_epoch_50.npz", "vdsr", 4, psnr(31.45)),
    Weights("espcn_x4_subconv_100.pth", "espcn", 4, {}, EGVSR),
    Weights("srgan_netG_epoch_4_100.pth", "srgan", 4, {}, GAN),
    Weights("opencv_sr/ESPCN_x2.pb", "espcn", 2, {}, TF),
    Weights("opencv_sr/ESPCN_x3.pb", "espcn", 3, {}, TF),
    Weights("opencv_sr/ESPCN_x4.pb", "espcn", 4, {}, TF),
    Weights("opencv_sr/FSRCNN_x2.pb", "fsrcnn", 2, {}, TF),
    Weights("opencv_sr/FSRCNN_x3.pb", "fsrcnn", 3, {}, TF),
    Weights("opencv_sr/FSRCNN_x4.pb", "fsrcnn", 4, {}, TF),
    Weights("opencv_sr/FSRCNN-small_x2.pb", "fsrcnn-small", 2, {}, TF),
    Weights("opencv_sr/FSRCNN-small_x3.pb", "fsrcnn-small", 3, {}, TF),
    Weights("opencv_sr/FSRCNN-small_x4.pb", "fsrcnn-small", 4, {}, TF),
    *(
        Weights(f"rt_sr/{name}_x{scale}.pth", name.partition("_")[0].lower(), scale, {}, PHONES)
        for name in ("ECBSR_M6C40", "ABPN_M6C40", "ETDS_M4C32", "ETDS_M7C48")
        for scale in (2, 3, 4)
    ),
)
