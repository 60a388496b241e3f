"""How Sphinx builds the book."""

project = "Latent Factors"
html_title = project
extensions = ["myst_nb", "latent_factors.book.mathml"]
exclude_patterns = ["notebooks", "guide/*.ipynb"]
nitpicky = True

html_theme = "furo"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_favicon = "static/favicon.svg"
html_css_files = ["book.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

myst_enable_extensions = ["dollarmath", "amsmath", "attrs_block", "colon_fence"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
