"""`sideman studio`: a page in the browser that makes bars with any bundle, shows them and plays them."""
