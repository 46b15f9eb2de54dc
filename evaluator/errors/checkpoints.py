"""Explanations of the codes about checkpoints."""

from evaluator.errors.codes import Code, Explanation, theirs

CHECKPOINTS: dict[Code, Explanation] = {
    Code.CHECKPOINT_UNKNOWN: theirs(
        "The evaluator knows no checkpoint of this name.", "Check the folder's name."
    ),
    Code.CHECKPOINT_NO_CONFIG: theirs(
        "The checkpoint has no config.json.", "Add the model's config.json."
    ),
    Code.CHECKPOINT_BAD_CONFIG: theirs(
        "A configuration file of the checkpoint is not usable.",
        "Save the model again with its library.",
    ),
    Code.CHECKPOINT_NO_TOKENIZER: theirs(
        "The checkpoint has no tokenizer.json.", "Save the fast tokenizer in its folder."
    ),
    Code.CHECKPOINT_NO_WEIGHTS: theirs(
        "The checkpoint has no safetensors file.", "Save the weights as safetensors."
    ),
    Code.CHECKPOINT_PICKLE: theirs(
        "The checkpoint holds a pickle, which can run code.", "Remove it and keep safetensors only."
    ),
    Code.CHECKPOINT_BAD_HEADER: theirs(
        "A safetensors file's header is not valid.", "Save the weights again."
    ),
    Code.CHECKPOINT_TRUNCATED: theirs(
        "A safetensors file is shorter than its header says.",
        "Copy the file again and compare its checksum.",
    ),
    Code.CHECKPOINT_REMOTE_CODE: theirs(
        "The checkpoint asks to run code of its own.",
        "Use an architecture that the library knows by itself.",
    ),
    Code.CHECKPOINT_BAD_FILE: theirs(
        "The checkpoint holds something that is not a plain file.",
        "Copy the files themselves, without links.",
    ),
    Code.CHECKPOINT_UNTRUSTED: theirs(
        "Without bubblewrap only checkpoints that Holdfast ships are run.",
        "Install bubblewrap on the evaluator.",
    ),
    Code.CHECKPOINT_BAD_TEMPLATE: theirs(
        "The checkpoint's chat template is missing, or does not show the question once and"
        " unchanged.",
        "Mend the template, or choose a protocol that does not use it.",
    ),
    Code.CHECKPOINT_ADAPTER: theirs(
        "The checkpoint is an adapter, or has one among its files: it is not clear which model"
        " is meant.",
        "Submit the adapter alone, from the hub or as an upload, together with its base model; or"
        " merge it into its base model, and submit the whole model without the adapter's files.",
    ),
    Code.CHECKPOINT_ADAPTER_NONE: theirs(
        "A base model was stated, and the model is a whole one: there is no adapter to add to it.",
        "Leave the base empty, or submit the repository or the folder of the adapter.",
    ),
    Code.CHECKPOINT_ADAPTER_NO_BASE: theirs(
        "The adapter's configuration names no base model on the hub.",
        "State the base model as organisation/name@revision, or the id of its upload.",
    ),
    Code.CHECKPOINT_ADAPTER_BASE_GONE: theirs(
        "The adapter's base model, or the revision of it, is not on the hub.",
        "Compare the spelling of the base model and its revision, or state another one that holds"
        " the same weights.",
    ),
    Code.CHECKPOINT_ADAPTER_BASE_GATED: theirs(
        "The adapter's base model is gated: the hub shows it only to those whom its owner lets in.",
        "Ask its owner for access, and give an access token of yours that may read it.",
    ),
    Code.CHECKPOINT_ADAPTER_STACKED: theirs(
        "The adapter's base model is an adapter itself.",
        "Merge the first adapter into its own base model, publish the result, and state that as"
        " the base model.",
    ),
    Code.CHECKPOINT_ADAPTER_KIND: theirs(
        "The adapter is no plain LoRA adapter, which adds a product of two matrices to matrices of"
        " its base model and changes nothing else.",
        "Merge it with the library that made it, and submit the whole model.",
    ),
    Code.CHECKPOINT_ADAPTER_UNFIT: theirs(
        "The adapter does not fit its base model.",
        "State the base model and the revision that the adapter was trained on.",
    ),
    Code.CHECKPOINT_LFS_POINTER: theirs(
        "A file of the checkpoint is a Git LFS pointer, not the file itself.",
        "Fetch the files with 'git lfs pull' and copy them again.",
    ),
    Code.CHECKPOINT_QUANTISED: theirs(
        "The weights are quantised in a way that this evaluator's engine cannot read.",
        "Submit the weights in 16 or 32 bits, or ask the maintainers for a pool with another"
        " engine.",
    ),
    Code.CHECKPOINT_MISSING_TENSORS: theirs(
        "The checkpoint lacks weights that its configuration needs; they would be random numbers.",
        "Save the whole model under its library's names, with its output head where it is not"
        " tied, and compare"
        " config.json with the model.",
    ),
    Code.CHECKPOINT_WRONG_SHAPES: theirs(
        "Weights of the checkpoint have other shapes than its configuration says.",
        "Save the model and its config.json together.",
    ),
    Code.CHECKPOINT_BAD_NUMBERS: theirs(
        "Weights of the checkpoint are not finite numbers, or a whole matrix of them is zero.",
        "Save the weights again from a model that gives sensible answers, and compare the copy's"
        " checksum.",
    ),
    Code.CHECKPOINT_TOO_COSTLY: theirs(
        "Reading the checkpoint's headers or tokenizer takes more memory or time than any real"
        " one's.",
        "Save the model again with its library.",
    ),
    Code.CHECKPOINT_UNKNOWN_MODEL: theirs(
        "The evaluator's libraries do not know this kind of model, so its weights cannot be"
        " checked.",
        "Use an architecture of the installed Transformers release, or ask the maintainers for a"
        " newer one.",
    ),
    Code.CHECKPOINT_GGUF: theirs(
        "The model is stored as GGUF only, which the engines here do not read.",
        "Submit the repository that the GGUF file was made from, with its safetensors.",
    ),
}
