"""Names of organisations that everybody knows, with the mail domains that prove them.

An organisation of such a name is made by a person with a confirmed address at one of the domains,
or verified by a maintainer first. Names are compared by ``skeleton``, so that a look-alike is the
same.
"""

KNOWN: dict[str, tuple[str, ...]] = {
    "AI21": ("ai21.com",),
    "AI2": ("allenai.org",),
    "Alibaba": ("alibaba-inc.com",),
    "Allen Institute for AI": ("allenai.org",),
    "Amazon": ("amazon.com",),
    "Anthropic": ("anthropic.com",),
    "Apple": ("apple.com",),
    "ByteDance": ("bytedance.com",),
    "Cohere": ("cohere.com",),
    "Databricks": ("databricks.com",),
    "DeepMind": ("google.com", "deepmind.com"),
    "DeepSeek": ("deepseek.com",),
    "EleutherAI": ("eleuther.ai",),
    "Google": ("google.com",),
    "Google DeepMind": ("google.com", "deepmind.com"),
    "Hugging Face": ("huggingface.co",),
    "IBM": ("ibm.com",),
    "Meta": ("meta.com",),
    "Meta AI": ("meta.com",),
    "Microsoft": ("microsoft.com",),
    "Mistral": ("mistral.ai",),
    "Mistral AI": ("mistral.ai",),
    "Moonshot AI": ("moonshot.cn",),
    "NVIDIA": ("nvidia.com",),
    "OpenAI": ("openai.com",),
    "Qwen": ("alibaba-inc.com",),
    "Salesforce": ("salesforce.com",),
    "Stability AI": ("stability.ai",),
    "TII": ("tii.ae",),
    "Tencent": ("tencent.com",),
    "xAI": ("x.ai",),
    "Zhipu AI": ("zhipuai.cn",),
}

SEPARATORS = " ._&-"
ALIKE_FROM, ALIKE_TO = "01i", "oll"
ALIKE_PAIRS = (("rn", "m"), ("vv", "w"))
"""Characters that look alike in most fonts. The database has the same rule as a constraint."""


def skeleton(name: str) -> str:
    """Return what a reader could not tell from other names: the same for names that look alike."""
    table = str.maketrans(ALIKE_FROM, ALIKE_TO, SEPARATORS)
    text = name.lower().translate(table)
    for pair, one in ALIKE_PAIRS:
        text = text.replace(pair, one)
    return text


_BY_SKELETON = {skeleton(name): domains for name, domains in KNOWN.items()}


def domains_of(name: str) -> tuple[str, ...]:
    """Return the mail domains that prove a well-known name; none for any other name."""
    return _BY_SKELETON.get(skeleton(name), ())
