"""Open one small OpenGL window as napari does, and say on standard output what drew it.

Started by ``mmssl doctor`` as a process of its own: a broken driver ends it with a signal instead of an exception.
"""

import json
import sys


def probe() -> dict[str, object]:
    """Return the Qt binding, platform, renderer and OpenGL version; raises whatever goes wrong."""
    import qtpy
    from qtpy.QtGui import QGuiApplication
    from vispy import app
    from vispy.gloo import gl

    app.use_app(qtpy.API_NAME.lower())
    canvas = app.Canvas(size=(64, 64), show=True)
    canvas.app.process_events()
    canvas.set_current()
    renderer, version = gl.glGetParameter(gl.GL_RENDERER), gl.glGetParameter(gl.GL_VERSION)
    texture = gl.glGetParameter(gl.GL_MAX_TEXTURE_SIZE)
    platform = QGuiApplication.platformName()
    canvas.close()
    # Without a context vispy returns empty values and raises nothing.
    if not isinstance(renderer, str) or not renderer:
        raise RuntimeError(f"Qt's platform '{platform}' gives no OpenGL")
    return {"qt": qtpy.API_NAME, "platform": platform, "renderer": renderer, "opengl": version, "texture": texture}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe()) + "\n")
