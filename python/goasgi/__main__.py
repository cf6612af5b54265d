"""``python -m goasgi APP`` and the command ``goasgi``."""

from .host import main

if __name__ == "__main__":
    main()
