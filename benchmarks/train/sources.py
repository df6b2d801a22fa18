"""Where training pictures come from: package, place inside, author, licence.

Only works whose licence is stated beside them and allows any use: CC0, CC BY, CC BY-SA, MIT, BSD,
Apache. Everything is fetched by package name with pip, apt and npm.
"""

from __future__ import annotations

from dataclasses import dataclass

LOMIRI_16 = "lomiri-wallpapers-16.04"
LOMIRI_20 = "lomiri-wallpapers-20.04"
FORENSICS = "forensics-samples-files"
UKUI = "ukui-wallpapers"
GCOMPRIS = "gcompris-qt-data"

DEBIAN = (LOMIRI_16, LOMIRI_20, FORENSICS, UKUI, GCOMPRIS)
"""Fetched with `apt-get download`."""

WHEELS = ("scikit-image==0.25.2", "scikit-learn==1.9.1")
"""Fetched with `pip download`, as built packages."""

PANORAMA_PACKAGE = "@pmndrs/assets@1.7.0"
"""Fetched with `npm pack`."""

FILM_PACKAGE = "moviepy==2.2.1"
FILM_LICENCE = "CC-BY-3.0, Blender Foundation"


@dataclass(frozen=True)
class Still:
    """A picture that a camera is moved over.

    Attributes:
        package: Package that holds it.
        name: File name in the package, unique there.
        licence: SPDX.
        author: Who made it, as the package says.
        takes: Camera paths over it; fewer where there is little to see.
    """

    package: str
    name: str
    licence: str
    author: str
    takes: int = 8


STILLS = (
    Still(LOMIRI_16, "aitzgorri_by_Aitzol_Berasategi.jpg", "CC-BY-4.0", "Aitzol Berasategi", 12),
    Still(LOMIRI_16, "life_by_Aitzol_Berasategi.jpg", "CC-BY-4.0", "Aitzol Berasategi", 20),
    Still(
        LOMIRI_16, "picosdeeuropa_by_Aitzol_Berasategi.jpg", "CC-BY-4.0", "Aitzol Berasategi", 16
    ),
    Still(LOMIRI_16, "sunset_by_Aitzol_Berasategi.jpg", "CC-BY-4.0", "Aitzol Berasategi", 6),
    Still(LOMIRI_16, "friends_by_Aitzol_Berasategi.jpg", "CC-BY-4.0", "Aitzol Berasategi", 6),
    Still(LOMIRI_16, "Picture_0B_by_freespace.jpg", "CC-BY-4.0", "Trevor Freespace", 6),
    Still(LOMIRI_16, "Picture_1A_by_freespace.jpg", "CC-BY-4.0", "Trevor Freespace", 12),
    Still(LOMIRI_16, "Dragonfly_by_Bolly.jpg", "CC-BY-SA-4.0", "Bolly", 12),
    Still(LOMIRI_16, "Bridge_by_Sander_Klootwijk.jpg", "CC-BY-SA-4.0", "Sander Klootwijk", 6),
    Still(LOMIRI_16, "analogpattern_by_Peter_Nerlich.jpg", "CC-BY-SA-4.0", "Peter Nerlich", 4),
    Still(LOMIRI_16, "greentock_by_Peter_Nerlich.jpg", "CC-BY-SA-4.0", "Peter Nerlich", 4),
    Still(LOMIRI_16, "seeding_by_Clements_Engelhardt.jpg", "CC0-1.0", "Clemens Engelhardt", 8),
    Still(LOMIRI_20, "Infinite-Sea_by_Aury88.jpg", "CC-BY-SA-3.0", "Aury88", 4),
    Still(LOMIRI_20, "Kleiber_by_Lukas_Baubkus.jpg", "CC-BY-SA-3.0", "Lukas Baubkus", 8),
    Still(FORENSICS, "IMG-20191006-WA0002.jpg", "CC-BY-SA-4.0", "Joao Eriberto Mota Filho", 12),
    Still(FORENSICS, "IMG_1054.JPG", "CC-BY-SA-4.0", "Joao Eriberto Mota Filho", 20),
    Still(FORENSICS, "IMG_20200827_231612.jpg", "CC-BY-SA-4.0", "Joao Eriberto Mota Filho", 12),
    Still(FORENSICS, "IMG_20191224_234846.jpg", "CC-BY-SA-4.0", "Joao Eriberto Mota Filho", 16),
    Still(FORENSICS, "IMG_20200124_231153.jpg", "CC-BY-SA-4.0", "Joao Eriberto Mota Filho", 6),
    Still(FORENSICS, "IMG_20200608_111614.jpg", "CC-BY-SA-4.0", "Joao Eriberto Mota Filho", 16),
    Still(GCOMPRIS, "chichenItza.webp", "CC-BY-SA-4.0", "Daniel Schwen"),
    Still(GCOMPRIS, "christTheRedeemer.webp", "CC-BY-SA-4.0", "Chensiyuan"),
    Still(GCOMPRIS, "greatWallofChina.webp", "CC0-1.0", "Nicolas Perrault III"),
    Still(GCOMPRIS, "machuPicchu.webp", "CC0-1.0", "Guillaume Pascal"),
    Still(GCOMPRIS, "tajMahal.webp", "CC-BY-SA-4.0", "Yann"),
    Still(GCOMPRIS, "gatewayofIndia.webp", "CC0-1.0", "Simon Steinberger"),
    Still(GCOMPRIS, "goldenTemple.webp", "CC0-1.0", "Jasdeep Singh"),
    Still(GCOMPRIS, "qutubMinar.webp", "CC0-1.0", "pramadas"),
    Still(GCOMPRIS, "victoriaMemorial.webp", "CC0-1.0", "Anourag"),
    Still(GCOMPRIS, "montStMichel.webp", "CC0-1.0", "Ali Sabbagh"),
    Still(GCOMPRIS, "palaisdesPapes.webp", "CC0-1.0", "Tognopop"),
    Still(GCOMPRIS, "berlinCathedral.webp", "CC0-1.0", "Gary Todd"),
    Still(GCOMPRIS, "neuschwansteinCastle.webp", "CC0-1.0", "cameralends"),
    Still(GCOMPRIS, "schwerinPalace.webp", "CC0-1.0", "Hermann Luyken"),
    Still(GCOMPRIS, "cabrillo.webp", "CC0-1.0", "allyndon"),
    Still(GCOMPRIS, "fortSumter.webp", "CC0-1.0", "Gary Todd"),
    Still(GCOMPRIS, "lincolnMemorial.webp", "CC0-1.0", "Brylie Christopher Oxley"),
    Still(GCOMPRIS, "mountRushmore.webp", "CC0-1.0", "Eekim"),
    Still(GCOMPRIS, "greatPyramidOfGiza.webp", "CC0-1.0", "Gary Todd"),
    Still(GCOMPRIS, "bison.webp", "CC0-1.0", "Kurt Kaiser"),
    Still(GCOMPRIS, "giraffe.webp", "CC0-1.0", "Mike and Lara Wolfe"),
    Still(GCOMPRIS, "jaguar.webp", "CC0-1.0", "Frieda Bredesen"),
    Still(GCOMPRIS, "lemur.webp", "CC0-1.0", "Mathias Appel"),
    Still(GCOMPRIS, "scarlet_macaw.webp", "CC0-1.0", "Dcoetzee"),
    Still(GCOMPRIS, "duck.webp", "CC0-1.0", "Bernard Spragg"),
    Still(GCOMPRIS, "horse.webp", "CC0-1.0", "Seth Zeigler"),
    Still(GCOMPRIS, "owl.webp", "CC0-1.0", "Lepale"),
    Still(GCOMPRIS, "sheep.webp", "CC0-1.0", "Rob Mitchell"),
    Still(GCOMPRIS, "america.webp", "CC-BY-2.0", "Tom Harpel"),
    Still(GCOMPRIS, "australia.webp", "CC-BY-2.0", "Steve Evans"),
    Still(GCOMPRIS, "ireland.webp", "CC-BY-2.0", "candyschwartz"),
    Still(GCOMPRIS, "italy.webp", "CC0-1.0", "SoriamuseuM"),
    Still(GCOMPRIS, "mexico.webp", "CC0-1.0", "Elidealista"),
    Still("scikit-image", "coffee.png", "CC0-1.0", "Rachel Michetti", 6),
    Still("scikit-learn", "china.jpg", "CC-BY-2.0", "danielbuechele", 8),
    Still("scikit-learn", "flower.jpg", "CC-BY-2.0", "vultilion", 4),
    Still(UKUI, "string.jpg", "CC-BY-SA-3.0", "Ubuntu Kylin community", 3),
    Still(UKUI, "rhythm.jpg", "CC-BY-SA-3.0", "Ubuntu Kylin community", 3),
    Still(UKUI, "firstgeneration.jpg", "CC-BY-SA-3.0", "Ubuntu Kylin community", 3),
    Still(UKUI, "goldfish.png", "CC-BY-SA-3.0", "Ubuntu Kylin community", 3),
)
"""Photographs, and four drawings at the end.

The licences of `gcompris-qt-data` are in the README of each bundle. What it calls public domain is
not taken: only licences that have a name are.
"""

PANORAMAS = (
    *((name, 8) for name in ("esplanade", "forest", "hall", "lab", "warehouse", "workshop")),
    *((name, 5) for name in ("bridge", "city", "dawn", "lobby", "night", "park", "sunrise")),
    *((name, 3) for name in ("apartment", "studio", "sunset", "venice")),
)
"""Panoramas, and the number of camera paths over each."""

PANORAMA_LICENCE, PANORAMA_AUTHOR = "CC0-1.0", "Poly Haven"

GATHERED = "what benchmarks/train/gather.py collects, with panoramas"
"""How packages name their data; those without the last words were trained before there were any."""

PHONE_CLIP = Still(FORENSICS, "VID_20191220_170832.mp4", "CC-BY-SA-4.0", "Joao Eriberto Mota Filho")

CLIP_LICENCES = {
    "sam2_": "Apache-2.0, SAM 2",
    "openh264_": "BSD-2-Clause, openh264",
    "udacity_": "MIT, CarND-LaneLines-P1",
}
"""Beginnings of the names of further clips, and the licence of the repository each comes from."""
