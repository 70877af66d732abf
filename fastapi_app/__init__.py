# region: stack
"""The streaming stack: FastAPI under uvicorn, Server-Sent Events while the answer is made."""
