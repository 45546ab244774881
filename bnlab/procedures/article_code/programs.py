"""The Keras programs of the articles, as they are printed, and what it takes to run them."""

from __future__ import annotations

import ast
import warnings
from types import SimpleNamespace
from typing import Any

from bnlab.procedures.article_code.keras_on_torch import load_keras

# Article S1, section Programming Implementation.
CALL = """\
tf.keras.layers.BatchNormalization(
axis=-1, momentum=0.99, epsilon=0.001, center=True, scale=True,
beta_initializer='zeros', gamma_initializer='ones',
moving_mean_initializer='zeros', moving_variance_initializer='ones',
beta_regularizer=None, gamma_regularizer=None, beta_constraint=None,
gamma_constraint=None, renorm=False, renorm_clipping=None, renorm_momentum=0.99,
**kwargs
)
"""

# Article S2, section 3.2.
DENSE = """\
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import Dense, BatchNormalization
model = Sequential([
Dense(16, input_shape=(1,5), activation='relu'),
BatchNormalization(),
Dense(32, activation='relu'),
BatchNormalization(),
Dense(2, activation='softmax')
])
"""

# Article S2, section 4.1.
CONV = """\
from tensorflow.keras.models import Sequential
from tensorflow.keras.layers import Dense, BatchNormalization, Conv2D, MaxPooling2D
model = Sequential([
Conv2D(32, (3,3), input_shape=(28, 28, 3) activation='relu'),
BatchNormalization(),
Conv2D(32, (3,3), activation='relu'),
BatchNormalization(),
MaxPooling2D(),
Dense(2, activation='softmax')
])
"""

CONV_WITH_COMMA = CONV.replace("(28, 28, 3) activation", "(28, 28, 3), activation")
CONV_WITH_FLATTEN = CONV_WITH_COMMA.replace("MaxPooling2D\n", "MaxPooling2D, Flatten\n").replace(
    "MaxPooling2D(),", "MaxPooling2D(),\nFlatten(),"
)


def call_arguments() -> dict[str, object]:
    """The named arguments of article S1's call with their values; its `**kwargs` stand for none."""
    call = ast.parse(CALL, mode="eval").body
    return {word.arg: ast.literal_eval(word.value) for word in call.keywords if word.arg}


def make_layer(call: str = CALL) -> Any:
    """The layer that the call builds, with nothing in `kwargs`."""
    return eval(call, {"tf": SimpleNamespace(keras=load_keras()), "kwargs": {}})


def make_model(program: str) -> Any:
    """The model that a program builds. Keras alone stands in for the same names in `tensorflow.keras`.

    Errors: SyntaxError where the program is no Python.
    """
    code = compile(program.replace("tensorflow.keras", "keras"), "<article>", "exec")
    load_keras()
    names: dict[str, Any] = {}
    with warnings.catch_warnings(category=UserWarning, action="ignore"):  # Keras 3 would rather have an Input layer
        exec(code, names)
    return names["model"]
