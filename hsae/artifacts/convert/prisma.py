"""Read SAEs of ViT-Prisma: weights.pt (or n_images_N.pt) as a bare state dict, with config.json beside it."""

from __future__ import annotations

from pathlib import Path

from hsae.artifacts.convert.build import assemble, choose, read_config, read_pickle, refuse, take
from hsae.sae.model import SparseAutoencoder
from hsae.sae.variants import VARIANTS

_NAMES = {"W_enc": "W_enc", "b_enc": "b_enc", "W_dec": "W_dec", "b_dec": "b_dec"}
_ALLOWED = {
    "architecture": ("standard", "vanilla"),
    "activation_fn_str": ("relu", "topk"),
    "normalize_activations": ("layer_norm", "none", None),  # its default; refused below
    "is_transcoder": (False,),
    "transcoder_with_skip_connection": (False,),
}
_IGNORED = (
    "activation_fn_kwargs b_dec_init_method beta1 beta2 cached_activations_path checkpoint_path cls_token_only "
    "context_size d_in d_sae dataset_name dataset_path dataset_train_path dataset_val_path dead_feature_threshold "
    "dead_feature_window device dtype expansion_factor feature_sampling_window from_pretrained_path hook_point "
    "hook_point_head_index hook_point_layer image_size initialization_method l1_coefficient layer_subtype log_to_wandb "
    "lp_norm lr lr_scheduler_name lr_warm_up_steps max_grad_norm min_explained_variance min_l0 model_class_name "
    "model_name model_path n_batches_in_buffer n_checkpoints n_validation_runs num_epochs num_workers seed "
    "sparsity_loss store_batch_size tokens_per_buffer total_training_images total_training_steps "
    "total_training_tokens train_batch_size use_cached_activations use_ghost_grads use_patches_only verbose "
    "vit_model_cfg wandb_entity wandb_log_frequency wandb_project"
)  # how it was trained, on what


def read(path: str | Path) -> SparseAutoencoder:
    """The SAE in a weights file: f = act((x - b_dec) W_enc + b_enc).

    Refused: layer norm on the input (their default), because it depends on the input and no weights can hold it;
    files that pickle their configuration object along, because only tensors are unpickled.
    """
    path = Path(path)
    where = path.parent / "config.json"
    config = read_config(where)
    choose(config, where, _ALLOWED, _IGNORED)
    norm = config.get("normalize_activations", "layer_norm")
    if norm == "layer_norm":
        raise refuse(where, "normalize_activations = 'layer_norm' (or not stated)", "none")
    activation = config.get("activation_fn_str", "relu")
    kwargs = config.get("activation_fn_kwargs")
    k = kwargs.get("k", 0) if VARIANTS[activation].competes and isinstance(kwargs, dict) else 1
    state = read_pickle(path)
    return assemble(path, take(state, path, _NAMES), activation, k, stored=state["W_dec"].dtype)
