"""The images of its own data that move a feature most, where the artifact may show them."""

from __future__ import annotations

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.examples import read_examples
from hsae.views.parts.charts import image_uri
from hsae.views.parts.markup import esc, number

_SHOWN = 8


def own_images_html(artifact: Artifact, layer: str, latent: int) -> str:
    """Thumbnails of the feature's strongest images with their activations, licence and source; empty without any."""
    examples = read_examples(artifact.document("examples"))
    if examples is None:
        return ""
    strongest = artifact.top_images(layer)[latent]["dataset"]
    pairs = [(examples.image(row), row, value) for row, value in strongest if row in examples.encoded][:_SHOWN]
    faces = "".join(
        f'<figure class="hsae-own"><img src="{esc(image_uri(image))}" alt="image {row} of the data set">'
        f"<figcaption>{number(value)}</figcaption></figure>"
        for image, row, value in pairs
        if image is not None
    )
    if not faces:
        return ""
    rights = f"Images: {esc(examples.source)}, {esc(examples.licence)}. The number is the activation."
    about = f"<h3>Images of {esc(str(artifact.dataset['id']))} that move it most</h3>"
    return f'{about}<div class="hsae-top">{faces}</div><p class="hsae-hint">{rights}</p>'
