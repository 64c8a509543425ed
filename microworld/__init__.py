"""The generated world of the embedded default: drawn scenes, true sentences, and the REFER folders made of them."""
