"""Operations on single images: colour conversion, resizing, PSNR and SSIM."""
